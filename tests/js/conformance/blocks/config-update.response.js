{
  success: true,
  data: {
    updated: true,
    restartRequired: true
  }
}
