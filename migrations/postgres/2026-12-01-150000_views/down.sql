DROP VIEW kombo.hris_employee_directory;
DROP VIEW kombo.hris_upcoming_absences;
DROP VIEW kombo.ats_open_applications;
DROP INDEX kombo.hris_absences_end_date;
DROP INDEX kombo.ats_applications_pending;
