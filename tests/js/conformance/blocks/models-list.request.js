socket.emit("models:list", {}, (response) => {
  console.log(response);
});
