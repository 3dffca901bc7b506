"""Care relationships: which dermatologist may see which patient's record, by whose consent."""
