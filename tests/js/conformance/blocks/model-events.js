// Model status changed
socket.on("models:status", (data) => {
  console.log("Model status changed:", data);
});

// Model loaded
socket.on("models:loaded", (data) => {
  console.log("Model loaded:", data.modelId);
});

// Model unloaded
socket.on("models:unloaded", (data) => {
  console.log("Model unloaded:", data.modelId);
});
