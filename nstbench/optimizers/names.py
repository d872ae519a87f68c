"""Names that settings may use, apart from the code behind them: importing this loads no backend."""

LINE_SEARCHES = ("none", "strong_wolfe")
