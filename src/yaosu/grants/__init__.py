"""数据授权: who lets whom see which of its records, which fields, until when (R-B10)."""
