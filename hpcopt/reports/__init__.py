"""Reports: pictures and tables made of trace rows and results, pure functions of them."""
