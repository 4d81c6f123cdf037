{
  success: true,
  data: {
    parameters: {
      "Model Settings": [
        { name: "ctx-size", type: "int", default: "2048", description: "Context size" },
        { name: "n-gpu-layers", type: "int", default: "0", description: "GPU layers" }
      ],
      "Performance": [
        { name: "threads", type: "int", default: "0", description: "Number of threads" }
      ],
      "Sampling": [
        { name: "temp", type: "float", default: "0.7", description: "Temperature" }
      ]
    }
  }
}
