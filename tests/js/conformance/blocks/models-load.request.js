socket.emit("models:load", { id: "qwen-7b" }, (response) => {
  console.log(response);
});
