{
  success: true,
  data: {
    filename: "default",
    name: "Default",
    description: "Default preset",
    content: "[*]\nctx-size=2048\n...",
    models: { "*": { "ctx-size": "2048" } }
  }
}
