socket.emit("presets:read", { filename: "default" }, (response) => {
  console.log(response);
});
