// New log entry
socket.on("logs:entry", (data) => {
  console.log("New log:", data.entry);
});
