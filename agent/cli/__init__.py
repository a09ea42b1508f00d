"""One module a command group; they parse words and print answers, and decide nothing."""
