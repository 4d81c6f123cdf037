socket.emit("presets:delete", { filename: "my-preset" }, (response) => {
  console.log(response);
});
