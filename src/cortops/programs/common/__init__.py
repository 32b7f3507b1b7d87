"""What every program does alike: settings in, one structured log out, signals, health. Imported by programs only."""
