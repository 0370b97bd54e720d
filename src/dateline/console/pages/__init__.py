"""The pages: what each shows, as a document. Its `.json` twin is that, and its HTML is made of nothing else."""
