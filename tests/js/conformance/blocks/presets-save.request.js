socket.emit("presets:save", {
  filename: "my-preset",
  config: {
    "*": { "ctx-size": "4096", "temp": "0.7" }
  }
}, (response) => {
  console.log(response);
});
