"""Bad input and faults: a clear error, nothing lost. Which test holds which promise (`test_checklist.py` reads this).

Bad input
- YAML syntax ................................ tests/unit/config/test_cases.py::test_case [yaml-bad-indent]
- duplicate keys ............................. tests/unit/config/test_cases.py::test_case [yaml-duplicate-keys]
- unknown keys (nearest name) ................ tests/unit/config/test_cases.py::test_case [key-unknown]
- wrong types ................................ tests/unit/config/test_cases.py::test_case [type-wrong]
- unresolved references ...................... tests/unit/config/test_cases.py::test_case [ref-undeclared]
- cycles ..................................... tests/unit/config/test_cases.py::test_case [cycle-attributes]
- two hosts with one MAC ..................... tests/unit/config/test_cases.py::test_case [rule-two-macs]
- two hosts with one address ................. tests/unit/config/test_cases.py::test_case [rule-two-ips]
- a port group on a missing vSwitch .......... tests/unit/config/test_cases.py::test_case [rule-missing-vswitch]
- a vmk on a missing port group .............. tests/unit/config/test_cases.py::test_case [rule-missing-portgroup]
- unquoted ${...} in a flow map .............. tests/unit/config/test_cases.py::test_case [yaml-flow-map-unquoted]
- expression bombs ........................... tests/unit/config/test_cases.py::test_case [expr-bombs]
- invalid MAC, IP, VLAN, MTU ................. tests/unit/config/test_cases.py::test_case [type-formats]

State and journal
- state cut, edited, newer format, other fleet tests/faults/test_apply_refused.py::test_a_damaged_state_is_refused_and_left_alone
- state of another lineage ................... tests/faults/test_apply_refused.py::test_a_state_of_another_lineage_is_refused
- journal with a torn tail ................... tests/faults/test_apply_refused.py::test_a_torn_tail_is_cut_off_by_what_goes_on
- a flipped byte (everywhere) ................ tests/faults/test_journal_damage.py::test_a_flipped_byte
- a missing record (everywhere) .............. tests/faults/test_journal_damage.py::test_missing_repeated_and_reordered_records
- both, at the commands ...................... tests/faults/test_apply_refused.py::test_a_damaged_journal_is_neither_resumed_nor_rolled_back
- disk full while writing state .............. tests/faults/test_state_disk_full.py::test_enospc_while_writing_state
- disk full in the middle of an apply ........ tests/faults/test_apply_disk_full.py::test_at_every_write_of_an_apply
- disk full in the middle of a rollback ...... tests/faults/test_apply_disk_full.py::test_at_every_write_of_a_rollback

vCenter
- unreachable ................................ tests/faults/test_vcenter_door.py::test_nobody_listens
- never answers .............................. tests/faults/test_vcenter_door.py::test_a_server_that_never_answers_is_given_up
- wrong password ............................. tests/faults/test_vcenter_door.py::test_a_wrong_password
- wrong certificate: unknown ................. tests/faults/test_vcenter_door.py::test_an_unknown_certificate_is_answered_with_its_thumbprint
- wrong certificate: another CA .............. tests/faults/test_vcenter_door.py::test_a_ca_that_did_not_sign_it
- wrong certificate: another than pinned ..... tests/faults/test_vcenter_door.py::test_another_certificate_than_the_pinned_one
- session expired, reset, lost reply, restart,
  busy, slow task: at every step ............. tests/faults/test_apply_steps.py::test_a_fault_that_passes_changes_nothing
- task failed, fault, vCenter gone, before and
  after the effect: at every step ............ tests/faults/test_apply_steps.py::test_a_fault_that_stays_stops_the_run
- the same at every step of a rollback ....... tests/faults/test_apply_undo.py::test_a_fault_at_every_step_of_a_rollback
- the same over real sockets ................. tests/faults/test_vcenter_https.py::test_every_call_is_hit_once_and_made_once
- vCenter gone in the middle, and back ....... tests/faults/test_vcenter_https.py::test_vcenter_goes_away_and_comes_back
- the session cannot be renewed .............. tests/faults/test_vcenter_https.py::test_a_session_that_cannot_be_renewed
- missing privileges ......................... tests/faults/test_vcenter_https.py::test_missing_privileges_are_listed_before_anything_happens
- a reading that fails is not "deleted" ...... tests/faults/test_vcenter_reads.py::test_a_property_that_cannot_be_read_is_an_error_that_names_the_host
- a disconnected host blocks only itself ..... tests/faults/test_vcenter_reads.py::test_a_disconnected_host_blocks_only_itself
- the state of another vCenter ............... tests/faults/test_apply_refused.py::test_the_state_of_the_twin_never_reaches_another_vcenter

Hosts
- host not responding in mid-step ............ tests/faults/test_apply_steps.py::test_a_host_that_stops_responding_at_its_step
- birth never comes .......................... tests/faults/test_apply_births.py::test_the_deadline_names_the_reason
- nobody starts the machine .................. tests/faults/test_apply_births.py::test_a_machine_that_nobody_starts_in_time
- birth forged, replayed, unknown MAC ........ tests/faults/test_birth.py::test_forged_replayed_unknown_and_another_body
- a 10 MB body ............................... tests/faults/test_birth.py::test_a_body_of_ten_megabytes_is_refused_early
- half-open sockets .......................... tests/faults/test_birth.py::test_600_half_open_sockets_starve_nobody
- TFTP ../, absolute paths, write requests ... tests/faults/test_tftp.py::test_bad_requests_get_an_error
- TFTP symlinks .............................. tests/faults/test_tftp.py::test_a_link_out_of_the_image_is_not_followed
- malformed TFTP packets ..................... tests/faults/test_tftp.py::test_junk_leaves_the_listener_alone
- 10,000 junk packets ........................ tests/faults/test_tftp.py::test_ten_thousand_junk_packets_stop_nothing
- duplicated ACKs ............................ tests/faults/test_tftp.py::test_duplicated_acks_do_not_double_the_stream
- ACKs from a stray port ..................... tests/faults/test_tftp.py::test_strangers_and_junk_cannot_disturb_a_transfer
- a machine that vanishes in mid-transfer .... tests/faults/test_tftp.py::test_a_client_that_vanishes_in_the_middle_is_forgotten
- the same, by HTTP .......................... tests/faults/test_http.py::test_a_machine_that_vanishes_in_the_middle_is_noted
- 600 machines at once ....................... tests/faults/test_tftp.py::test_six_hundred_machines_at_once_are_served
- 1 % packet loss, TFTP and HTTP ............. tests/faults/test_packet_loss.py::test_transfers_end_and_bytes_are_equal
- half-open HTTP ............................. tests/faults/test_http.py::test_half_open_connections_are_closed
- slow readers ............................... tests/faults/test_http.py::test_slow_readers_keep_nobody_out
- TFTP process killed, or hanging ............ tests/faults/test_tftp_process.py::test_machines_get_their_files_when_the_process_dies_or_hangs
- TFTP process that does not stay up ......... tests/faults/test_tftp_process.py::test_a_process_that_does_not_stay_up_is_a_named_error
- nothing outlives a killed command .......... tests/faults/test_tftp_process.py::test_a_killed_parent_leaves_no_process_and_no_port
- neither password, clock skew, another
  vCenter's host, no answer at AddHost ....... tests/faults/test_apply_hosts.py::test_resume_after_the_trouble_is_over
- an NFS export that cannot be reached ....... tests/faults/test_apply_hosts.py::test_an_export_that_cannot_be_reached
- UnrecognizedHost at reconnect .............. tests/faults/test_apply_hosts.py::test_a_reborn_host_that_vcenter_does_not_recognise
- reboot between birth and AddHost ........... tests/faults/test_apply_hosts.py::test_a_resumed_run_takes_the_new_birth

Reborn at night
- edits that nobody applied .................. tests/faults/test_night.py::test_a_host_comes_back_as_it_was_applied
- the fleet file is gone ..................... tests/faults/test_night.py::test_a_fleet_file_that_is_gone_or_broken_is_not_missed
- maintenance mode by a person ............... tests/faults/test_night.py::test_what_a_person_put_in_maintenance_mode_stays_so
- disconnected by a person ................... tests/faults/test_night.py::test_what_a_person_disconnected_stays_so
- vCenter is down ............................ tests/faults/test_night.py::test_vcenter_is_down
- vCenter is late ............................ tests/faults/test_night.py::test_vcenter_that_is_late_shows_the_boot_before_as_connected
- an apply holds the lock .................... tests/faults/test_night.py::test_an_apply_that_holds_the_lock_goes_first
- somebody else's run is open ................ tests/faults/test_night.py::test_somebody_elses_open_run_is_left_alone
- one host fails ............................. tests/faults/test_night.py::test_what_a_restore_could_not_do_the_next_one_does
- it reboots in the middle ................... tests/faults/test_night.py::test_a_rebirth_in_the_middle_is_restored_from_the_start
- killed at every call ....................... tests/faults/test_night_killed.py::test_killed_at_a_call
- the process is killed ...................... tests/faults/test_night_killed.py::test_a_process_that_is_killed
- three births in an hour .................... tests/unit/midwife/test_restore.py::test_three_births_in_an_hour_are_a_quarantine
- two fleets, one power cut .................. tests/faults/test_night.py::test_two_fleets_after_one_power_cut

Commands
- two applies at once ........................ tests/faults/test_apply_refused.py::test_two_at_once
- a stale plan, each cause ................... tests/faults/test_apply_refused.py::test_live_changed
- a plan without refresh ..................... tests/faults/test_apply_refused.py::test_a_plan_without_refresh
- --on-failure continue ...................... tests/faults/test_apply_undo.py::test_continue_goes_on_with_what_does_not_depend_on_the_failure
- --on-failure stop .......................... tests/faults/test_apply_undo.py::test_stop_starts_nothing_more
- --on-failure rollback, verified: 4 ......... tests/faults/test_apply_undo.py::test_rollback_on_failure_is_verified_and_4
- a rollback that is not equal: 3 ............ tests/faults/test_apply_undo.py::test_a_rollback_after_which_live_differs_is_not_4
- Ctrl-C, SIGTERM before a change: 130 ....... tests/faults/test_apply_signals.py::test_in_a_run_before_its_first_call
- Ctrl-C, SIGTERM while a call runs: 3 ....... tests/faults/test_apply_signals.py::test_while_a_call_runs
- the second one stops hard .................. tests/faults/test_apply_signals.py::test_the_second_one_stops_hard

The whole catalogue
- each declared fault of each method ........ tests/faults/test_declared_faults.py::test_each_operation_meets_the_faults_of_its_method
- no operation is left out .................. tests/faults/test_declared_faults.py::test_no_operation_is_left_out
- a read that fails is never "deleted" ...... tests/faults/test_catalogue_ground.py::test_a_reading_that_fails_is_never_taken_for_not_there
- a disconnected host blocks only itself .... tests/faults/test_catalogue_ground.py::test_a_disconnected_host_blocks_only_itself
- changed since the plan: stale, and kept ... tests/faults/test_catalogue_ground.py::test_what_somebody_changed_since_the_plan_is_stale_and_stays
- management cut: the plan says so .......... tests/unit/vsphere/test_management.py::test_every_step_that_may_cut_says_so
- management cut: the server rolls back ..... tests/unit/vsphere/test_management.py::test_the_server_rolls_back_and_the_apply_recovers
- one switch, two hosts at once ............. tests/unit/vsphere/test_dvs.py::test_two_steps_of_one_switch_take_turns
- a switch changed by somebody meanwhile .... tests/unit/vsphere/test_dvs.py::test_what_somebody_changed_meanwhile_is_refused_and_may_be_repeated
- an NFS user that Kerberos needs ........... tests/unit/vsphere/test_nfs_user.py::test_a_user_in_use_is_not_taken_away
"""  # noqa: E501 - one line a promise
