socket.emit("models:unload", { id: "qwen-7b" }, (response) => {
  console.log(response);
});
