{
  success: true,
  data: {
    valid: true,
    errors: [],
    warnings: ["Consider setting ctx-size to at least 4096"]
  }
}
