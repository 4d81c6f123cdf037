{
  success: true,
  data: {
    models: ["model1.gguf", "model2.gguf"]
  },
  timestamp: "2024-01-15T10:30:00.000Z"
}
