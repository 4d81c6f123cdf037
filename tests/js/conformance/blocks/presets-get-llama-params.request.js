socket.emit("presets:get-llama-params", {}, (response) => {
  console.log(response);
});
