{
  success: true,
  data: {
    filename: "my-preset",
    savedAt: "2024-01-15T10:30:00.000Z"
  }
}
