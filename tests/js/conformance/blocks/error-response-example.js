{
  success: false,
  error: {
    message: "Model not found",
    code: "MODEL_NOT_FOUND"
  },
  timestamp: "2024-01-15T10:30:00.000Z"
}
