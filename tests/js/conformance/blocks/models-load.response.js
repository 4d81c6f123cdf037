{
  success: true,
  data: {
    id: "qwen-7b",
    status: "loaded",
    memoryUsage: 6448742400,
    loadedAt: "2024-01-15T10:30:00.000Z"
  }
}
