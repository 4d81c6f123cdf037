socket.emit("metrics:get", {}, (response) => {
  console.log(response);
});
