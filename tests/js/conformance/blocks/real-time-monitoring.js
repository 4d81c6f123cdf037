const socket = io("http://localhost:3000/llamaproxws");

// Subscribe to metrics updates
socket.emit("metrics:subscribe", {}, (response) => {
  if (response.success) {
    console.log("Subscribed to metrics");
  }
});

// Handle metrics updates
socket.on("metrics:update", (data) => {
  document.getElementById("cpu-usage").textContent = data.system.cpu.usage + "%";
  document.getElementById("memory-usage").textContent = 
    Math.round(data.system.memory.used / 1024 / 1024 / 1024) + "GB";
});
