// Connect
const socket = io("http://localhost:3000/llamaproxws");

socket.on("connect", async () => {
  // List models
  socket.emit("models:list", {}, (listResponse) => {
    if (listResponse.success) {
      const models = listResponse.data.models;
      
      // Load first model
      if (models.length > 0) {
        socket.emit("models:load", { id: models[0].id }, (loadResponse) => {
          if (loadResponse.success) {
            console.log("Model loaded:", loadResponse.data);
          }
        });
      }
    }
  });
});
