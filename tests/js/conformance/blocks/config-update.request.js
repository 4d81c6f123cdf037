socket.emit("config:update", {
  server: { port: 3001 },
  llama: { maxModels: 8 }
}, (response) => {
  console.log(response);
});
