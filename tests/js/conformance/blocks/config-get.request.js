socket.emit("config:get", {}, (response) => {
  console.log(response);
});
