"""What every notebook teaches with: quizzes, exercises with checks, shown source, one glossary.

    from src.teaching import check, hint, show_quiz, show_source, solution

Light to import: exercises and quizzes are loaded when the first of them is asked for.
"""

from src.teaching.boxes import text_boxes
from src.teaching.exercises import check, hint, solution
from src.teaching.quiz_panel import show_quiz
from src.teaching.sources import show_source

__all__ = ["check", "hint", "show_quiz", "show_source", "solution", "text_boxes"]
