{
  success: true,
  data: {
    id: "qwen-7b",
    status: "unloaded",
    unloadedAt: "2024-01-15T10:30:00.000Z"
  }
}
