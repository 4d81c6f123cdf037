// Metrics update (every 10 seconds when clients connected)
socket.on("metrics:update", (data) => {
  console.log("New metrics:", data);
});
