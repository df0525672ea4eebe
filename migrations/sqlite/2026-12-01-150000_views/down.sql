DROP VIEW hris_employee_directory;
DROP VIEW hris_upcoming_absences;
DROP VIEW ats_open_applications;
DROP INDEX hris_absences_end_date;
DROP INDEX ats_applications_pending;
