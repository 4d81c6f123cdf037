{
  success: true,
  data: {
    logs: [
      {
        timestamp: "2024-01-15T10:30:00.000Z",
        level: "info",
        source: "server",
        message: "Client connected"
      }
    ],
    total: 1
  }
}
