socket.emit("presets:validate-config", {
  filename: "my-preset",
  config: { "*": { "ctx-size": "4096" } }
}, (response) => {
  console.log(response);
});
