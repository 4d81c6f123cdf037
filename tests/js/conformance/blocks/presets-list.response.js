{
  success: true,
  data: {
    presets: [
      {
        filename: "default",
        name: "Default",
        description: "Default preset",
        models: { "*": { "ctx-size": "2048" } }
      }
    ]
  }
}
