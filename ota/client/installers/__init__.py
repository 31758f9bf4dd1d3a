"""Installers behind one door."""
