socket.emit("logs:get", {
  level: "info",
  limit: 100,
  since: "2024-01-15T00:00:00.000Z"
}, (response) => {
  console.log(response);
});
