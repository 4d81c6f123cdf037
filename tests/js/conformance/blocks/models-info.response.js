{
  success: true,
  data: {
    id: "qwen-7b",
    name: "qwen-7b.gguf",
    path: "/models/qwen-7b.gguf",
    size: 4580140000,
    status: "loaded",
    parameters: {
      "General": { ... },
      "Model": { ... },
      "Tokenizer": { ... }
    },
    memoryUsage: 6448742400,
    loadedAt: "2024-01-15T10:30:00.000Z"
  }
}
