{
  success: true,
  data: {
    server: {
      port: 3000,
      host: "0.0.0.0"
    },
    llama: {
      serverPath: "/usr/local/bin/llama-server",
      modelsDir: "/models",
      port: 8080,
      maxModels: 4
    },
    logging: {
      level: "info",
      path: "./logs"
    }
  }
}
