{
  success: true,
  data: {
    system: {
      cpu: { usage: 45.2, cores: 8 },
      memory: { used: 8589934592, total: 17179869184 },
      disk: { used: 53687091200, total: 107374182400 }
    },
    llama: {
      activeConnections: 2,
      requestsProcessed: 150,
      averageResponseTime: 45.2
    },
    gpu: [
      {
        name: "NVIDIA RTX 3080",
        usage: 65.5,
        memoryUsed: 6448742400,
        memoryTotal: 10737418240
      }
    ],
    timestamp: "2024-01-15T10:30:00.000Z"
  }
}
