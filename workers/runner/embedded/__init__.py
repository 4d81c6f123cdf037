"""llama.cpp's server from the xllamacpp wheel, as a child process."""
