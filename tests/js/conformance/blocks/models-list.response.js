{
  success: true,
  data: {
    models: [
      {
        id: "qwen-7b",
        name: "qwen-7b.gguf",
        path: "/models/qwen-7b.gguf",
        size: 4580140000,
        status: "unloaded",
        parameters: null
      }
    ],
    total: 1
  }
}
