// When a client connects
socket.on("client:connected", (data) => {
  console.log("New client:", data.clientId);
});

// When a client disconnects
socket.on("client:disconnected", (data) => {
  console.log("Client disconnected:", data.clientId);
});
