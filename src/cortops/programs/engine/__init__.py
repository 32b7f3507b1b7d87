"""The bundled language-model engine: llama.cpp's OpenAI-compatible server. Any other such engine is only a URL."""
