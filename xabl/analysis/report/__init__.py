"""A study as one HTML file: verdict, tables, figures, and a browser of examples."""

from xabl.analysis.report.page import ReportOptions as ReportOptions
from xabl.analysis.report.page import write_report as write_report
