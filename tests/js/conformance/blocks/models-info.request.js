socket.emit("models:info", { id: "qwen-7b" }, (response) => {
  console.log(response);
});
