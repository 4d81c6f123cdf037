{
  success: true,
  data: { deleted: true }
}
