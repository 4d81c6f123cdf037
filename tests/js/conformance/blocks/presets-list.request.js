socket.emit("presets:list", {}, (response) => {
  console.log(response);
});
